import type { Role } from '../roles.ts';
import type { HostService } from './unit.ts';

/** Scripts of a package's life, and the question that its purge asks. */
export function controlFiles(role: Role, { data }: HostService): Readonly<Record<string, string>> {
  const [unit, question] = [`sallyport-${role.name}.service`, `sallyport-${role.name}/remove-data`];
  const file = `sallyport-${role.name}.conf`;
  return {
    conffiles: `/etc/sallyport/${role.name}.env\n`,
    templates: `Template: ${question}
Type: boolean
Default: false
Description: Remove what ${role.title} keeps in /var/lib/${data}?
 With it go keys that nothing brings back. Say no unless they are elsewhere, or nobody needs them any more.
`,
    postinst: `#!/bin/sh
set -e
. /usr/share/debconf/confmodule
if [ "$1" = configure ]; then
  systemd-sysusers ${file}
  # Without /proc, as in a bare chroot, it cannot; the unit makes its folder, too.
  systemd-tmpfiles --create ${file} || true
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # One that runs is drained and goes on with the new version; a new one is started by whoever has written its settings.
    if [ -n "$2" ]; then systemctl try-restart ${unit}; fi
  fi
fi
db_stop
`,
    prerm: `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl disable --now ${unit}; fi
`,
    postrm: `#!/bin/sh
set -e
if [ "$1" = purge ] && [ -e /usr/share/debconf/confmodule ]; then
  . /usr/share/debconf/confmodule
  db_fset ${question} seen false || true
  db_input critical ${question} || true
  db_go || true
  # Nobody was asked: it stays.
  if db_get ${question} && [ "$RET" = true ]; then rm -rf /var/lib/${data}; fi
  db_purge || true
fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
`,
  };
}
