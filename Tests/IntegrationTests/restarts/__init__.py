"""What tests of graceful restarts share: services to restart, proxies in front of them, and those who watch."""
