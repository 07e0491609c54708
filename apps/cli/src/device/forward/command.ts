import { randomBytes } from 'node:crypto';
import type { Server } from 'node:net';
import type { Device } from '@sallyport/device';
import type { Command } from 'commander';
import { CliError, printJson, printRows } from '../../output.ts';
import { type GlobalOptions, globalsOf } from '../../program.ts';
import { say, warn } from '../../terminal.ts';
import { caFile } from '../local-ca/ca-file.ts';
import { HostCertificates } from '../local-ca/host-certificates.ts';
import { openCliDevice, signedIn } from '../open.ts';
import { keepLocalCa } from '../trust/keep.ts';
import { forwardAccess } from './access.ts';
import { createForwardProxy } from './proxy.ts';

interface ForwardOptions {
  readonly port: string;
  readonly password?: boolean;
}

/** `sallyport device forward` */
export function addForwardCommand(device: Command): void {
  device
    .command('forward')
    .description('a local HTTP proxy, so that any client of yours on this machine can go through the gateway')
    .option('-p, --port <n>', 'port on 127.0.0.1', '8488')
    .option('--password', 'whoever knows a password that is printed may use it, instead of the programs of your user')
    .action(forward);
}

async function forward(options: ForwardOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const opened = await openCliDevice(globals);
  await signedIn(opened);
  const password = options.password ? randomBytes(12).toString('base64url') : undefined;
  const port = portOf(options.port, '--port');
  const proofs = new HostCertificates(caFile(globals));
  await listen(createForwardProxy(opened, { access: forwardAccess(password), proofs }), port, '--port');
  await keepLocalCa(globals, opened);
  opened.on('ended', ({ code }) => warn`the session is over (${code}); sign in again: sallyport device login\n`);
  opened.on('state', ({ state }) => warn`${state}\n`);
  sayForward(opened, globals, { port, password });
  process.once('SIGINT', () => process.exit(0));
  process.once('SIGTERM', () => process.exit(0));
}

/** Reads a port. @throws CliError that names the option */
function portOf(text: string, option: string): number {
  const port = Number(text);
  if (/^[0-9]{1,5}$/.test(text) && port > 0 && port < 65_536) return port;
  throw new CliError(`${text} is no port`, `${option} takes a number from 1 to 65535`);
}

/** Listens on loopback only. @throws CliError when the port is taken */
async function listen(server: Server, port: number, option: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', () => reject(new CliError(`port ${port} is taken`, `choose another one with ${option}`)));
    server.listen(port, '127.0.0.1', resolve);
  });
}

function sayForward(
  device: Device,
  { json }: GlobalOptions,
  { port, password }: { readonly port: number; readonly password: string | undefined },
): void {
  const proxy = `http://${password === undefined ? '' : `x:${password}@`}127.0.0.1:${port}`;
  if (json) return printJson({ proxy, resources: device.resources });
  const who = password === undefined ? 'your programs on this machine may use it' : 'who knows its password may use it';
  say`forward proxy at ${proxy} (${who}); you may use:\n`;
  printRows(device.resources, ['name', 'kind', 'authority'], false);
  const first = device.resources.find(({ kind }) => kind === 'http');
  if (first) say`\ntry: curl -x ${proxy} http://${first.authority}/\n`;
}
