"""
Tests on clusters of servers, which they start on loopback, one at a time.

They need Galera, rsync, HAProxy, Group Replication and Spider, and take five
minutes; ``python -m tests.clusters.soak`` runs the soak test for longer.
"""
