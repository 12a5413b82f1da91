#!/usr/bin/python3
"""lineage.py NAME CERTIFICATE KEY [KEY=VALUE]: a certificate as certbot itself lays it down in /etc/letsencrypt after a success, without
the authority; the pair is a line of its configuration that a person has changed."""
import os
import sys

from certbot import configuration
from certbot._internal import cli, storage
from certbot._internal.plugins import disco

name, certificate, key, *changes = sys.argv[1:]
root = "/etc/letsencrypt"
for directory, mode in (("archive", 0o700), ("live", 0o700), ("renewal", 0o755)):
    os.makedirs(os.path.join(root, directory), mode=mode, exist_ok=True)
arguments = ["certonly", "--config-dir", root, "--work-dir", root + "/work", "--logs-dir", root + "/logs", "-d", "example.org", "--standalone"]
config = configuration.NamespaceConfig(cli.prepare_and_parse_args(disco.PluginsRegistry.find_all(), arguments))
with open(certificate, "rb") as first, open(key, "rb") as second:
    storage.RenewableCert.new_lineage(name, first.read(), second.read(), b"", config)
for change in changes:
    with open(f"{root}/renewal/{name}.conf", "a") as file:
        file.write(change.replace("=", " = ") + "\n")
