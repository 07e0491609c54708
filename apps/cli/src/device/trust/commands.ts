import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@sallyport/device';
import type { Command } from 'commander';
import { CliError, formatTime, printJson, printRows } from '../../output.ts';
import { type GlobalOptions, globalsOf } from '../../program.ts';
import { say, warn } from '../../terminal.ts';
import { caFile, loadCa, needsNewCa, removeCa, replaceCa } from '../local-ca/ca-file.ts';
import { nameOfCa, type StoredCa } from '../local-ca/local-ca.ts';
import { openCliDevice, signedIn } from '../open.ts';
import { browserStores } from './nss-store.ts';
import { runProgram } from './run-program.ts';
import type { NamedCa, TrustStore } from './store.ts';
import { systemStore } from './system-store.ts';
import { type Outcome, Trusted } from './trusted.ts';

interface TrustOptions {
  readonly system: boolean;
  readonly browsers: boolean;
  readonly new?: boolean;
}

/** File that says where the CA of this machine is trusted. */
export function trustedFile({ data }: GlobalOptions): string {
  return join(data, 'cli', 'local-ca-trusted.json');
}

/** `sallyport device trust|untrust|ca` */
export function addTrustCommands(device: Command): void {
  device
    .command('trust')
    .description(
      "let this machine's programs and browsers take https through the gateway: trusts a CA made here, for your resources only",
    )
    .option('--no-system', 'not in the list of the system (curl, git, Python …), which needs root')
    .option('--no-browsers', 'not in Chromium and Firefox of your user')
    .option('--new', 'make a new CA first; the one of before is trusted no more')
    .action(trust);
  device
    .command('untrust')
    .description('take back all that `trust` did, and destroy the key of the CA')
    .action(untrust);
  device
    .command('ca')
    .description('print the certificate of the CA of this machine (PEM), for what trusts by a file: curl --cacert …')
    .action(async (_options, command: Command) => {
      const { certificate } = await currentCa(globalsOf(command), false);
      process.stdout.write(`${certificate.trim()}\n`);
    });
}

/** The CA of this machine for the resources of its user; a new one when the one there is does not do. */
async function currentCa(globals: GlobalOptions, anew: boolean): Promise<StoredCa> {
  const file = caFile(globals);
  const stored = anew ? undefined : loadCa(file);
  const authorities = await httpAuthorities(globals, stored !== undefined);
  if (stored && !needsNewCa(stored, authorities, Date.now())) return stored;
  if (authorities.length === 0)
    throw new CliError('you have no HTTP resource that a certificate could be for', 'see: sallyport device status');
  return replaceCa(file, authorities, Date.now());
}

async function httpAuthorities(globals: GlobalOptions, mayBeOffline: boolean): Promise<readonly string[]> {
  const device = await openCliDevice(globals);
  try {
    await signedIn(device);
    return authoritiesOf(device);
  } catch (error) {
    // What stands can be shown and trusted without a gateway.
    if (mayBeOffline) return [];
    throw error;
  } finally {
    device.close();
  }
}

/** Authorities of a device's HTTP resources. */
export function authoritiesOf({ resources }: Device): readonly string[] {
  return resources.filter(({ kind }) => kind === 'http').map(({ authority }) => authority);
}

async function trust(options: TrustOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const ca = await currentCa(globals, options.new === true);
  const named: NamedCa = { name: nameOfCa(ca.id), certificate: ca.certificate };
  const trusted = new Trusted(trustedFile(globals));
  const gone = trusted.remove(storesOf({ system: true, browsers: true }), ({ name }) => name !== named.name);
  const outcomes = [...trusted.add(storesOf(options), named), ...gone.filter(({ next }) => next !== undefined)];
  if (globals.json) printJson({ ca: named.name, endsAt: ca.endsAt, permitted: ca.permitted, stores: outcomes });
  else sayTrusted(ca, outcomes);
  failWhenNothing(outcomes, 'trusted');
}

function untrust(_options: unknown, command: Command): void {
  const globals = globalsOf(command);
  const outcomes = new Trusted(trustedFile(globals)).remove(storesOf({ system: true, browsers: true }));
  removeCa(caFile(globals));
  if (globals.json) return printJson({ stores: outcomes });
  printRows(outcomes, ['place', 'outcome'], false);
  sayNext(outcomes);
  say`the key of this machine's CA is destroyed; restart browsers that are open\n`;
  failWhenNothing(outcomes, 'removed');
}

function storesOf({ system, browsers }: Pick<TrustOptions, 'system' | 'browsers'>): readonly TrustStore[] {
  const host = { run: runProgram, isRoot: process.getuid?.() === 0, hasTerminal: process.stdin.isTTY === true };
  const ofSystem = system ? systemStore(host) : undefined;
  return [...(ofSystem ? [ofSystem] : []), ...(browsers ? browserStores(homedir(), runProgram) : [])];
}

function sayTrusted({ permitted, endsAt }: StoredCa, outcomes: readonly Outcome[]): void {
  printRows(outcomes, ['place', 'outcome'], false);
  sayNext(outcomes);
  say`it can speak for ${[...permitted.domains, ...permitted.addresses].join(', ')} and for nothing else, until ${formatTime(endsAt)}\n`;
  say`restart browsers that are open; undo it: sallyport device untrust\n`;
}

/** What is left to do by hand, on this system or on others that we have no way into. */
function sayNext(outcomes: readonly Outcome[]): void {
  for (const { place, next } of outcomes) if (next !== undefined) warn`${place}: ${next}\n`;
  const byHand = BY_HAND[process.platform];
  if (byHand !== undefined) warn`by hand, after "sallyport device ca > sallyport-ca.pem": ${byHand}\n`;
}

const BY_HAND: Readonly<Record<string, string>> = {
  darwin:
    'security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db sallyport-ca.pem (undo: remove-trusted-cert)',
  win32:
    'certutil -user -addstore Root sallyport-ca.pem (undo: certutil -user -delstore Root "Sallyport on this machine …")',
};

function failWhenNothing(outcomes: readonly Outcome[], done: string): void {
  if (outcomes.length > 0 && outcomes.every(({ next }) => next !== undefined))
    throw new CliError(`the CA is ${done} nowhere`, outcomes[0]!.next);
}
