import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { listening, startCommand } from '@sallyport/support';
import { type Application, expectSeen, startedAt } from '../application.ts';
import { run } from '../command.ts';
import { PYTHON } from './python.ts';

/** sshd as a TCP resource. The client's key lies in the server's folder. */
export const ssh: Application = {
  name: 'shell',
  title: 'OpenSSH',
  authority: 'shell.corp:22',
  async start({ folder, freePort }) {
    const port = await freePort();
    for (const name of ['host', 'client'])
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
    mkdirSync('/run/sshd', { recursive: true });
    const config = `Port ${port}
ListenAddress 127.0.0.1
HostKey ${folder}/host
AuthorisedKeysFile ${folder}/client.pub
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
`;
    writeFileSync(join(folder, 'sshd_config'), config);
    chmodSync(folder, 0o755);
    const program = startCommand('/usr/sbin/sshd', ['-D', '-e', '-f', join(folder, 'sshd_config')]);
    await listening(port, program);
    return startedAt(`tcp://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'ssh, and scp of 40 MB',
      through: 'forward',
      async use({ folder, served, tcpPort }) {
        const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', `UserKnownHostsFile=${folder}/known`];
        const common = [...options.flatMap((option) => ['-o', option]), '-i', join(served, 'client')];
        const bytes = randomBytes(40_000_000);
        writeFileSync(join(folder, 'up'), bytes);
        const user = process.env['USER'] ?? 'root';
        const there = `${user}@127.0.0.1`;
        await run('scp', [...common, '-P', String(tcpPort), join(folder, 'up'), `${there}:${folder}/there`]);
        const seen = await run('ssh', [
          ...common,
          '-p',
          String(tcpPort),
          there,
          `cmp ${folder}/up ${folder}/there && echo same`,
        ]);
        expectSeen(seen.trim() === 'same', seen);
        return 'the same bytes';
      },
    },
  ],
};

const SMTP_SERVER = `
import sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
controller = Controller(Mailbox(sys.argv[1]), hostname='127.0.0.1', port=int(sys.argv[2]))
controller.start()
while True: time.sleep(60)
`;
const SMTP_CLIENT = `
import smtplib, sys
with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as mail:
    mail.sendmail('ada@corp', ['bob@corp'], 'Subject: tides\\r\\n\\r\\nhigh water at noon\\r\\n')
print('sent')
`;

/** A mail server as a TCP resource. */
export const smtp: Application = {
  name: 'mail',
  title: 'SMTP (aiosmtpd)',
  authority: 'mail.corp:25',
  needs: { python: [PYTHON.aiosmtpd] },
  async start({ folder, freePort, programs }) {
    const port = await freePort();
    writeFileSync(join(folder, 'server.py'), SMTP_SERVER);
    const args = [join(folder, 'server.py'), join(folder, 'box'), String(port)];
    const program = startCommand(programs.python('python'), args);
    await listening(port, program);
    return startedAt(`tcp://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'smtplib: a letter',
      through: 'forward',
      async use({ folder, tcpPort, programs }) {
        writeFileSync(join(folder, 'client.py'), SMTP_CLIENT);
        const seen = await run(programs.python('python'), [join(folder, 'client.py'), String(tcpPort)]);
        expectSeen(seen.trim() === 'sent', seen);
        return 'accepted';
      },
    },
  ],
};

const IMAP_CLIENT = `
import imaplib, sys
mail = imaplib.IMAP4('127.0.0.1', int(sys.argv[1]))
mail.login('ada', 'swordfish')
mail.append('INBOX', None, None, b'Subject: tides\\r\\n\\r\\nhigh water at noon\\r\\n')
mail.select('INBOX')
print(mail.fetch('1', '(BODY[HEADER.FIELDS (SUBJECT)])')[1][0][1].decode())
`;

/** Dovecot as a TCP resource. */
export const imap: Application = {
  name: 'letters',
  title: 'IMAP (Dovecot)',
  authority: 'letters.corp:143',
  needs: { python: [PYTHON.aiosmtpd] },
  async start({ folder, freePort }) {
    const port = await freePort();
    for (const name of ['run', 'state', 'mail']) mkdirSync(join(folder, name));
    chmodSync(join(folder, 'mail'), 0o777);
    const config = `protocols = imap
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = /dev/stderr
ssl = no
disable_plaintext_auth = no
mail_location = maildir:${folder}/mail/%u
listen = 127.0.0.1
first_valid_uid = 1
default_internal_user = nobody
default_login_user = nobody
default_internal_group = nogroup
passdb {
  driver = static
  args = password=swordfish
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=${folder}/mail/%u
}
service imap-login {
  chroot =
  inet_listener imap {
    port = ${port}
  }
}
service anvil {
  chroot =
}
`;
    writeFileSync(join(folder, 'dovecot.conf'), config);
    const program = startCommand('/usr/sbin/dovecot', ['-F', '-c', join(folder, 'dovecot.conf')]);
    await listening(port, program);
    return startedAt(`tcp://127.0.0.1:${port}`, program);
  },
  clients: [
    {
      name: 'imaplib: append and fetch',
      through: 'forward',
      async use({ folder, tcpPort, programs }) {
        writeFileSync(join(folder, 'client.py'), IMAP_CLIENT);
        const seen = await run(programs.python('python'), [join(folder, 'client.py'), String(tcpPort)]);
        expectSeen(seen.includes('Subject: tides'), seen);
        return 'the subject came back';
      },
    },
  ],
};
