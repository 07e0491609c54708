import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CertificateView, certificates, type KeyChangeView } from '@sallyport/security-api/admin';
import type { AdminClient } from '@sallyport/security-client/admin';
import type { Command } from 'commander';
import { addOperatorCommand, type Given, required, table } from '../operator-command.ts';
import { CliError, formatTime } from '../output.ts';
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
  addOperatorCommand<{ readonly wait: boolean }, KeyChangeView>(certificate, {
    name: 'rotate <what>',
    about:
      'replace our CA (ca), the key of site maps (root) or of assertions (assertion) while everything runs; again: how far that is',
    options: [['--no-wait', 'do not follow it until the new one is used']],
    reason: ['replacing a key of the realm', 'the CA ends this year'],
    run: rotate,
    show: (view) => say`✔ ${changeWords(view)}\n`,
  });
  addOperatorCommand(certificate, {
    name: 'remove <id>',
    about: 'take away the certificate by which a backend knows the gateway: backend/NAME of a resource',
    reason: ['taking a certificate away', 'the backend asks for none any more'],
    run: (admin, { reason }, id: string) => admin.call(certificates.remove, { params: { id }, reason }),
    show: (_done, _given, id: string) => say`✔ ${id} is taken away: the backend sees no certificate any more\n`,
  });
}

/** A replacement is looked at this often, ms. */
const LOOK_MS = 1_000;

async function rotate(
  admin: AdminClient,
  { options, reason, globals }: Given<{ readonly wait: boolean }>,
  what: string,
): Promise<KeyChangeView> {
  if (what !== 'ca' && what !== 'root' && what !== 'assertion')
    throw new CliError(`there is no key ${what} of the realm`, 'say ca, root or assertion');
  const params = { purpose: what } as const;
  // What is under way is only followed.
  const before = await admin.call(certificates.change, { params });
  const isOn = before.keys.length > 1;
  let view = isOn ? before : await admin.call(certificates.rotate, { params, reason });
  for (let said = ''; options.wait && isComing(view); ) {
    const words = changeWords(view);
    if (words !== said && !globals.json) say`  ${words}\n`;
    said = words;
    await sleep(LOOK_MS);
    view = await admin.call(certificates.change, { params });
  }
  return view;
}

/** Whether a look again in a second may find it used. */
function isComing({ keys, waitingFor, usesAt }: KeyChangeView): boolean {
  return keys.some(({ state }) => state === 'coming') && (usesAt === null || waitingFor.length > 0);
}

function changeWords({ keys, waitingFor, usesAt, retiresAt }: KeyChangeView): string {
  const coming = keys.find(({ state }) => state === 'coming');
  if (coming) {
    const rest = waitingFor.length > 0 ? `, waits for ${waitingFor.join(', ')}` : '';
    if (usesAt !== null && rest === '')
      return `every node shows ${coming.id} to backends beside the one in use, and signs with it from ${formatTime(usesAt)} on`;
    return `${coming.id} goes to every node${rest}`;
  }
  const used = keys.find(({ state }) => state === 'in use')?.id ?? '?';
  const old = keys.find(({ state }) => state === 'trusted');
  if (!old || retiresAt === null) return `${used} is in use, and nothing else counts`;
  return `${used} is in use; ${old.id} is trusted beside it until ${formatTime(retiresAt)}`;
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
