"""`cipsec ca`: the commands of the local CA, listed; each is imported light and works heavy."""

from __future__ import annotations

from cipsec._cli.ca_backup import backup, restore
from cipsec._cli.ca_crl import crl
from cipsec._cli.ca_handover import handover
from cipsec._cli.ca_issue import issue
from cipsec._cli.ca_log import app as log
from cipsec._cli.ca_passphrase import passphrase
from cipsec._cli.ca_pending import pending
from cipsec._cli.ca_provision import credentials, provision
from cipsec._cli.ca_record import listing
from cipsec._cli.ca_report import report
from cipsec._cli.ca_requests import approve, reject
from cipsec._cli.ca_revoke import revoke
from cipsec._cli.ca_rollover import rollover
from cipsec._cli.ca_serve import serve
from cipsec._cli.ca_setup import init
from cipsec._cli.ca_show import show
from cipsec._cli.ca_watch import watch
from cipsec._cli.options import command, group

app = group("ca", "Run a local CA: set up, serve, approve, list.")

command(app, "init")(init)
command(app, "serve")(serve)
command(app, "pending")(pending)
command(app, "watch")(watch)
command(app, "show")(show)
command(app, "approve")(approve)
command(app, "reject")(reject)
command(app, "issue")(issue)
command(app, "provision")(provision)
command(app, "credentials")(credentials)
command(app, "list")(listing)
command(app, "revoke")(revoke)
command(app, "crl")(crl)
command(app, "report")(report)
command(app, "handover")(handover)
app.add_typer(log)
command(app, "rollover")(rollover)
command(app, "passphrase")(passphrase)
command(app, "backup")(backup)
command(app, "restore")(restore)
