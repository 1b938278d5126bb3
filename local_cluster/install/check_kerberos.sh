#!/bin/sh
# Names the packages of Kerberos that this machine lacks, with the command that installs them.
missing=""
PATH=$PATH:/usr/sbin
command -v krb5kdc > /dev/null || missing="$missing krb5-kdc"
command -v kadmin.local > /dev/null || missing="$missing krb5-admin-server"
command -v kinit > /dev/null || missing="$missing krb5-user"
command -v krb5-config > /dev/null || missing="$missing libkrb5-dev"
command -v cc > /dev/null || missing="$missing gcc"
command -v openssl > /dev/null || missing="$missing openssl"
if [ -n "$missing" ]; then
    echo "error: this machine lacks programs for Kerberos: apt-get install$missing" >&2
    exit 1
fi
