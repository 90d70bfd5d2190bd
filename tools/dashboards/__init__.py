"""The Grafana dashboards, written as JSON by `make reference`."""
