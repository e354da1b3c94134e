"""The server's registry: sites, who is there, what they were told, studies and alarms."""
