import { readFileSync } from 'node:fs';
import { type CertificateView, certificates } from '@sallyport/security-api/admin';
import type { Command } from 'commander';
import { addOperatorCommand, required, table } from '../operator-command.ts';
import { formatTime } from '../output.ts';
import { printable, say } from '../terminal.ts';
import { userPath } from '../user-path.ts';

const COLUMNS = ['id', 'purpose', 'names', 'days', 'ends', 'renewed by', 'trouble'];
/** Names in a row of a list. */
const MAX_NAMES = 3;

interface PairOptions {
  readonly certificate: string;
  readonly key?: string;
}

interface RenewOptions {
  readonly certificate?: string;
  readonly key?: string;
}

/** `sallyport certificate …` */
export function addCertificateCommands(program: Command): void {
  const certificate = program
    .command('certificate')
    .description('certificates, and keys that sign: what there is, how long it is good, who renews it');
  addOperatorCommand(certificate, {
    name: 'list',
    about: 'all of them, those that end first at the top',
    run: async (admin) => (await admin.all(certificates.list)).sort((a, b) => a.endsAt - b.endsAt),
    show: table(COLUMNS, rowOf),
  });
  addOperatorCommand(certificate, {
    name: 'show <id>',
    about: 'one of them with its chain in PEM',
    run: (admin, _given, id: string) => admin.call(certificates.get, { params: { id } }),
    show: (view) => void process.stdout.write(`${formatCertificate(view)}\n${view.chain}`),
  });
  addOperatorCommand<PairOptions, CertificateView>(certificate, {
    name: 'add <id>',
    about: 'give the gateway a certificate by which a backend knows it: backend/NAME of a resource',
    options: [
      required('--certificate <file>', 'PEM file with the certificate and its chain'),
      required('--key <file>', 'PEM file with its key'),
    ],
    run: (admin, { options, reason }, id: string) =>
      admin.call(certificates.put, { params: { id }, body: pairOf(options), reason }),
    show: (view) => say`✔ ${view.id} is in use, until ${formatTime(view.endsAt)}\n`,
  });
  addOperatorCommand<RenewOptions, CertificateView>(certificate, {
    name: 'renew <id>',
    about: 'the next one: by our own CA at once, or of a backend from files',
    options: [
      ['--certificate <file>', 'of backend/NAME: PEM file with the next certificate and its chain'],
      ['--key <file>', 'PEM file with its key; absent: the one of before'],
    ],
    run: async (admin, { options, reason }, id: string) => {
      const { certificate: file, key } = options;
      if (file !== undefined)
        return admin.call(certificates.put, {
          params: { id },
          body: pairOf({ certificate: file, ...(key === undefined ? {} : { key }) }),
          reason,
        });
      await admin.call(certificates.renew, { params: { id }, reason });
      return admin.call(certificates.get, { params: { id } });
    },
    show: (view) => say`✔ ${view.id} is renewed\n`,
  });
  addOperatorCommand(certificate, {
    name: 'remove <id>',
    about: 'take away the certificate by which a backend knows the gateway: backend/NAME of a resource',
    reason: ['taking a certificate away', 'the backend asks for none any more'],
    run: (admin, { reason }, id: string) => admin.call(certificates.remove, { params: { id }, reason }),
    show: (_done, _given, id: string) => say`✔ ${id} is taken away: the backend sees no certificate any more\n`,
  });
}

function pairOf({ certificate, key }: PairOptions): { readonly certificate: string; readonly key?: string } {
  return {
    certificate: readFileSync(userPath(certificate), 'utf8'),
    ...(key === undefined ? {} : { key: readFileSync(userPath(key), 'utf8') }),
  };
}

function rowOf({ id, purpose, names, daysLeft, endsAt, renewedBy, trouble }: CertificateView): object {
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : '';
  return {
    id: printable(id),
    purpose,
    names: printable(names.slice(0, MAX_NAMES).join(', ')) + more,
    days: daysLeft,
    ends: formatTime(endsAt),
    'renewed by': renewedBy,
    trouble: trouble === null ? '' : printable(trouble),
  };
}

function formatCertificate(view: CertificateView): string {
  const lines: readonly (readonly [string, string])[] = [
    ['id', view.id],
    ['purpose', view.purpose],
    ['use', view.use],
    ['names', view.names.join(', ')],
    ['subject', view.subject],
    ['issuer', view.issuer],
    ['fingerprint', view.fingerprint],
    ['good from', formatTime(view.beginsAt)],
    ['good until', `${formatTime(view.endsAt)}, ${view.daysLeft} days`],
    ['renewed by', view.renewedBy],
    ['trouble', view.trouble ?? ''],
  ];
  const told = lines.filter(([, value]) => value !== '');
  return told.map(([name, value]) => `${name.padEnd(12)}${printable(value)}`).join('\n');
}
