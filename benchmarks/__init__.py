"""`pocketwire bench`: what Pocketwire can do on this machine, each figure beside something run in the same minutes.

One file each: what is measured (accepting, calling, postgresql, together, sizes, starting, many), and what they need
(client, installation, stand_in, rivals, deliveries, table). Everything is on loopback, in a temporary folder, and
bounded.
"""
