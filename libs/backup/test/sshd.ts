import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort, listening, type Running, startCommand } from '@sallyport/support';
import type { SftpFolder } from '../src/index.ts';

/** A real OpenSSH server of this test, and a place at it. */
export interface Sshd {
  readonly place: SftpFolder;
  readonly running: Running;
}

function makeKey(file: string): void {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
}

/** The fingerprint of a key, as OpenSSH says it. */
function fingerprint(file: string): string {
  return execFileSync('ssh-keygen', ['-l', '-f', file], { encoding: 'utf8' }).split(' ')[1]!;
}

/** Starts one whose folder for exports is `<folder>/exports`. */
export async function startSshd(folder: string): Promise<Sshd> {
  const file = (name: string): string => join(folder, name);
  makeKey(file('host'));
  makeKey(file('user'));
  writeFileSync(file('authorized'), readFileSync(file('user.pub')));
  mkdirSync(file('exports'));
  chmodSync(folder, 0o755);
  // What Debian's unit makes; sshd of root insists on it.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
  const port = await freePort();
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${file('host')}`,
    `AuthorizedKeysFile ${file('authorized')}`,
    'PidFile none',
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    'Subsystem sftp internal-sftp',
  ];
  writeFileSync(file('sshd_config'), `${config.join('\n')}\n`);
  const running = startCommand('/usr/sbin/sshd', ['-D', '-e', '-f', file('sshd_config')]);
  await listening(port, running);
  const place = {
    ...{ host: '127.0.0.1', port, user: userInfo().username, folder: file('exports') },
    privateKey: readFileSync(file('user'), 'utf8'),
    hostKeys: [fingerprint(file('host.pub'))],
    silenceMs: 60_000,
  };
  return { place, running };
}
