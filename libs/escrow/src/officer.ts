import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { EscrowError } from './errors.ts';

/** To whom a share is encrypted. Nothing of it is secret. */
export interface Officer {
  readonly name: string;
  /** An X25519 recipient of age, `age1…`. */
  readonly recipient: string;
}

/** The two files of a new officer. */
export interface NewOfficer {
  readonly officer: Officer;
  /** An age file with a passphrase (scrypt), which holds the identity: `age -d` opens it, too. */
  readonly identity: Uint8Array;
}

const NAME = /^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/;
const LINE = /^(age1[0-9a-z]{58}) (\S+)$/;
const SECRET = /^AGE-SECRET-KEY-1[0-9A-Z]{58}$/m;
/** log2 of scrypt's cost, as age has it. */
const WORK_FACTOR = 18;
const MIN_PASSPHRASE = 12;

/** Makes the key of an officer on a machine of their own. @throws EscrowError ERR_ESCROW_OFFICER, ERR_ESCROW_PASSPHRASE */
export async function makeOfficer(
  name: string,
  passphrase: string,
  workFactor: number = WORK_FACTOR,
): Promise<NewOfficer> {
  checkName(name);
  if (passphrase.length < MIN_PASSPHRASE)
    throw new EscrowError('ERR_ESCROW_PASSPHRASE', `the passphrase has fewer than ${MIN_PASSPHRASE} characters`);
  const secret = await generateX25519Identity();
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(workFactor);
  const identity = await encrypter.encrypt(`# Escrow identity of officer ${name}\n${secret}\n`);
  return { officer: { name, recipient: await identityToRecipient(secret) }, identity };
}

/** The public file of an officer, for whoever makes an escrow. */
export function formatOfficer({ name, recipient }: Officer): string {
  return `# An officer of Sallyport's key escrow: shares are encrypted to this key. Not secret.\n${recipient} ${name}\n`;
}

/** Reads it. @throws EscrowError ERR_ESCROW_OFFICER */
export function parseOfficer(text: string): Officer {
  const lines = text.split('\n').map((line) => line.trim());
  const [line, ...more] = lines.filter((one) => one !== '' && !one.startsWith('#'));
  const [, recipient, name] = LINE.exec(line ?? '') ?? [];
  if (!recipient || !name || more.length > 0)
    throw new EscrowError(
      'ERR_ESCROW_OFFICER',
      'this is no officer file: it has one line "age1… NAME", as "escrow officer new" wrote it',
    );
  checkName(name);
  return { name, recipient };
}

function checkName(name: string): void {
  if (!NAME.test(name))
    throw new EscrowError('ERR_ESCROW_OFFICER', 'the name of an officer has other characters than a-z, 0-9 and ._-');
}

/** The secret of an identity file: one with a passphrase, or one that age wrote in the clear. @throws EscrowError ERR_ESCROW_PASSPHRASE */
export async function openIdentity(identity: Uint8Array, passphrase: () => Promise<string>): Promise<string> {
  const plain = SECRET.exec(Buffer.from(identity).toString('latin1'))?.[0];
  if (plain) return plain;
  try {
    const decrypter = new Decrypter();
    decrypter.addPassphrase(await passphrase());
    const secret = SECRET.exec(await decrypter.decrypt(identity, 'text'))?.[0];
    if (secret) return secret;
  } catch (cause) {
    throw new EscrowError(
      'ERR_ESCROW_PASSPHRASE',
      'the identity does not open: is the passphrase right, and is it an identity file?',
      {
        cause,
      },
    );
  }
  throw new EscrowError('ERR_ESCROW_PASSPHRASE', 'the file opens, but holds no identity');
}
