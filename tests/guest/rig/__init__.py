"""A rig that boots real guests on vub's disks; see ../README.md."""
