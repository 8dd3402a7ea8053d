// A vCenter for the lab: govmomi's API simulator behind TLS, with a password, on one address.
//
// It keeps state and enforces nothing: it proves that the API is used rightly, not that limits have an effect.
// Built from Debian's golang-github-vmware-govmomi-dev. The password comes from the environment, so that no
// list of processes shows it.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

const passwordVariable = "YAMORI_LAB_VCENTER_PASSWORD"

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "127.0.0.1:8989", "address and port to listen at")
	certificate := flag.String("certificate", "", "PEM file with the server's certificate")
	key := flag.String("key", "", "PEM file with its private key")
	user := flag.String("user", "yamori@vsphere.local", "who may log in")
	esx := flag.Bool("esx", false, "be a single ESXi instead of a vCenter")
	clusters := flag.Int("clusters", 1, "clusters")
	clusterHosts := flag.Int("cluster-hosts", 2, "hosts in each cluster")
	hosts := flag.Int("hosts", 1, "hosts outside clusters")
	vms := flag.Int("vms", 2, "VMs in each cluster and on each host outside of one")
	datastores := flag.Int("datastores", 1, "datastores")
	flag.Parse()
	password := os.Getenv(passwordVariable)
	if password == "" || *certificate == "" || *key == "" {
		log.Fatalf("needs -certificate, -key and a password in %s", passwordVariable)
	}
	identity, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	model := simulator.VPX()
	if *esx {
		model = simulator.ESX()
	} else {
		model.Cluster, model.ClusterHost, model.Host = *clusters, *clusterHosts, *hosts
	}
	model.Machine, model.Datastore = *vms, *datastores
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	model.Service.Listen = &url.URL{Host: *listen, User: url.UserPassword(*user, password)}
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{identity}, MinVersion: tls.VersionTLS12}
	server := model.Service.NewServer()
	fmt.Println("ready", server.URL.Host)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
	model.Remove() // and no waiting for clients, who may be waiting for updates
}
