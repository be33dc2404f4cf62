"""What `up` starts and looks after: processes, a Ray head, demo tenants."""
