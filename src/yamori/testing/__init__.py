"""The kit that proves drivers and modules. Shipped, so that strangers use it too."""
