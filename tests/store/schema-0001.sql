BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE entries (
	run VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	step VARCHAR NOT NULL, 
	note TEXT NOT NULL, 
	token INTEGER NOT NULL, 
	at VARCHAR NOT NULL, 
	PRIMARY KEY (run, number), 
	FOREIGN KEY(run) REFERENCES runs (id)
);
INSERT INTO "entries" VALUES('20260101-000000-00000000',0,'planned','s','{}',1,'2026-01-01T00:00:00.000000Z');
INSERT INTO "entries" VALUES('20260101-000000-00000000',1,'applying','s','{"before":{"limits":{"cpu_cap":null}}}',1,'2026-01-01T00:00:00.000000Z');
CREATE TABLE leases (
	subject VARCHAR NOT NULL, 
	owner VARCHAR, 
	token INTEGER NOT NULL, 
	expires_at FLOAT NOT NULL, 
	PRIMARY KEY (subject)
);
INSERT INTO "leases" VALUES('v','controller-old',1,1767225615.0);
CREATE TABLE ledger (
	number INTEGER NOT NULL, 
	at VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	previous VARCHAR NOT NULL, 
	hash VARCHAR NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "ledger" VALUES(1,'2026-01-01T00:00:00.000000Z','run','{"subject":"v","verb":"throttle","proposal":{"action":{"verb":"throttle","vm":"v","limits":{"cpu_cap":0.5},"expires_after_s":60.0},"by":"guard","reason":"because","finding":"f","proposed_at":"2026-01-01T00:00:00.000000Z"},"decision":{"verdict":"allow","rule":"r","reason":"rule","action":{"verb":"throttle","vm":"v","limits":{"cpu_cap":0.5},"expires_after_s":60.0},"decided_at":"2026-01-01T00:00:00.000000Z"},"run":"20260101-000000-00000000","number":0,"state":"planned","step":"s","note":{},"token":1,"at":"2026-01-01T00:00:00.000000Z"}','0000000000000000000000000000000000000000000000000000000000000000','b63fd0caf3505c4b2748149cf9456c5fbf427e70335b9ab033f99a232b6fc31d');
INSERT INTO "ledger" VALUES(2,'2026-01-01T00:00:00.000000Z','run','{"subject":"v","verb":"throttle","run":"20260101-000000-00000000","number":1,"state":"applying","step":"s","note":{"before":{"limits":{"cpu_cap":null}}},"token":1,"at":"2026-01-01T00:00:00.000000Z"}','b63fd0caf3505c4b2748149cf9456c5fbf427e70335b9ab033f99a232b6fc31d','22fd2852d37c1835c7a9c871f1b7c211c5b0d96f69b6e89493e90cc7d2d8766f');
CREATE TABLE ledger_head (
	one INTEGER NOT NULL, 
	count INTEGER NOT NULL, 
	hash VARCHAR NOT NULL, 
	mac VARCHAR NOT NULL, 
	PRIMARY KEY (one)
);
INSERT INTO "ledger_head" VALUES(1,2,'22fd2852d37c1835c7a9c871f1b7c211c5b0d96f69b6e89493e90cc7d2d8766f','aa0d414b6a5c321321417e38c0fe4eb9970d6e516721de9fe53ed65ac32879d0');
CREATE TABLE runs (
	ordinal INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	created_at VARCHAR NOT NULL, 
	updated_at VARCHAR NOT NULL, 
	proposal TEXT NOT NULL, 
	decision TEXT NOT NULL, 
	"before" TEXT, 
	seen TEXT, 
	error TEXT, 
	UNIQUE (id)
);
INSERT INTO "runs" VALUES(1,'20260101-000000-00000000','v','applying','2026-01-01T00:00:00.000000Z','2026-01-01T00:00:00.000000Z','{"action":{"verb":"throttle","vm":"v","limits":{"cpu_cap":0.5},"expires_after_s":60.0},"by":"guard","reason":"because","finding":"f","proposed_at":"2026-01-01T00:00:00.000000Z"}','{"verdict":"allow","rule":"r","reason":"rule","action":{"verb":"throttle","vm":"v","limits":{"cpu_cap":0.5},"expires_after_s":60.0},"decided_at":"2026-01-01T00:00:00.000000Z"}','{"limits":{"cpu_cap":null}}',NULL,NULL);
CREATE INDEX runs_by_subject ON runs (subject, ordinal);
CREATE INDEX runs_by_state ON runs (state, ordinal);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('runs',1);
COMMIT;
