import { randomBytes } from 'node:crypto';
import type { Device } from '@sallyport/device';
import type { Command } from 'commander';
import { CliError, printJson, printRows } from '../../output.ts';
import { globalsOf } from '../../program.ts';
import { say, warn } from '../../terminal.ts';
import { openCliDevice, signedIn } from '../open.ts';
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
  const port = Number(options.port);
  const password = options.password ? randomBytes(12).toString('base64url') : undefined;
  const server = createForwardProxy(opened, { access: forwardAccess(password) });
  await new Promise<void>((resolve, reject) => {
    server.once('error', () => reject(new CliError(`port ${port} is taken`, 'choose another one with --port')));
    server.listen(port, '127.0.0.1', resolve);
  });
  opened.on('ended', ({ code }) => warn`the session is over (${code}); sign in again: sallyport device login\n`);
  opened.on('state', ({ state }) => warn`${state}\n`);
  const proxy = `http://${password === undefined ? '' : `x:${password}@`}127.0.0.1:${port}`;
  if (globals.json) printJson({ proxy, resources: opened.resources });
  else sayForward(opened, proxy, password);
  process.once('SIGINT', () => process.exit(0));
  process.once('SIGTERM', () => process.exit(0));
}

function sayForward(device: Device, proxy: string, password: string | undefined): void {
  const who = password === undefined ? 'your programs on this machine may use it' : 'who knows its password may use it';
  say`forward proxy at ${proxy} (${who}); you may use:\n`;
  printRows(device.resources, ['name', 'kind', 'authority'], false);
  const first = device.resources.find(({ kind }) => kind === 'http');
  if (first) say`\ntry: curl -x ${proxy} http://${first.authority}/\n`;
}
