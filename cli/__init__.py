"""The command line `mesh`: asks the daemon over its socket, and prints.

The rule of this package: it starts quickly. It imports the vocabulary and the RPC types of `meshd`, click and
platformdirs, and neither trio nor nacl nor msgpack; what needs those runs `meshd …` as a child.
"""
