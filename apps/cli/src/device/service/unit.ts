/** Name of the unit, for people too: `systemctl --user status sallyport-forward`. */
export const UNIT_NAME = 'sallyport-forward.service';

/** What the unit runs. */
export interface UnitCommand {
  /** Absolute. */
  readonly program: string;
  readonly args: readonly string[];
}

/**
 * A unit of the user's own systemd (systemd.unit(5)) that keeps `device forward` running. It is hardened by what a user's systemd may do without
 * namespaces: inside of one the kernel would no longer say whose a local connection is.
 */
export function formatUnit({ program, args }: UnitCommand): string {
  return `# Written by "sallyport device service install"; taken away by "sallyport device service remove".
[Unit]
Description=Sallyport: a way into the intranet for the programs of this user
Documentation=https://github.com/sallyport/sallyport
StartLimitIntervalSec=0

[Service]
ExecStart=${[program, ...args].map(quoted).join(' ')}
Restart=always
# Also while nobody is signed in: it goes on with the next "sallyport device login".
RestartSec=15
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
LimitCORE=0
TasksMax=64
MemoryMax=1G

[Install]
WantedBy=default.target
`;
}

/** One word of a command line, in which nothing is expanded (systemd.service(5), "Command lines"). */
function quoted(word: string): string {
  const plain = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  if (/^[\w./:=%$@+,-]+$/.test(plain)) return plain;
  const inQuotes = plain.replace(/[\\"]/g, (one) => `\\${one}`).replace(/\p{Cc}/gu, codeOf);
  return `"${inQuotes}"`;
}

/** A control character, which would end the line or the word, as systemd reads it in quotes. */
function codeOf(character: string): string {
  return [...Buffer.from(character)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}
