import type { Server } from 'node:net';
import { type Device, messageOf } from '@sallyport/device';
import type { Command } from 'commander';
import { CliError, printJson, printRows } from '../../output.ts';
import { type GlobalOptions, globalsOf } from '../../program.ts';
import { say, warn } from '../../terminal.ts';
import { caFile } from '../local-ca/ca-file.ts';
import { HostCertificates } from '../local-ca/host-certificates.ts';
import { openCliDevice, signedIn } from '../open.ts';
import { keepLocalCa } from '../trust/keep.ts';
import { forwardAccess } from './access.ts';
import { Crossing } from './crossing.ts';
import { addPortOptions, type ForwardSettings, readForwardOptions, type WrittenOptions } from './options.ts';
import { createPortForward } from './port-forward.ts';
import { createForwardProxy } from './proxy.ts';
import { PAC_PATH, pacAnswerer } from './proxy-pac.ts';
import { createSocksServer } from './socks-server.ts';
import { knownWay } from './way.ts';

/** `sallyport device forward` */
export function addForwardCommand(device: Command): void {
  const forwarding = device
    .command('forward')
    .description('a proxy on this machine, so that any program or browser of yours can go through the gateway');
  addPortOptions(forwarding)
    .option('-v, --verbose', 'say how each site is reached, whenever that changes')
    .option('--password', 'whoever knows a password that is printed may use it, instead of the programs of your user')
    .action(forward);
}

async function forward(options: WrittenOptions, command: Command): Promise<void> {
  const globals = globalsOf(command);
  const settings = readForwardOptions(options);
  const opened = await openCliDevice(globals);
  await signedIn(opened);
  await listenAll(opened, globals, settings);
  await keepLocalCa(globals, opened);
  opened.on(
    'ended',
    ({ code, cause }) => warn`${messageOf(code, cause)} (${code}); to sign in: sallyport device login\n`,
  );
  opened.on('state', ({ state }) => warn`${state}\n`);
  if (options.verbose) opened.on('site', ({ name, reach }) => warn`site ${name}: ${reach}\n`);
  if (globals.json) printJson(descriptionOf(opened, settings));
  else sayForward(opened, settings);
  process.once('SIGINT', () => process.exit(0));
  process.once('SIGTERM', () => process.exit(0));
}

async function listenAll(device: Device, globals: GlobalOptions, settings: ForwardSettings): Promise<void> {
  const { port, socks, tcp, password } = settings;
  const access = forwardAccess(password);
  const crossing = new Crossing(device, new HostCertificates(caFile(globals)));
  const ports = { crossing, access, say: sayOnce() };
  const own = pacAnswerer({ access, port, resources: () => device.resources });
  await listen(createForwardProxy(device, { access, crossing, own }), port, '--port');
  if (socks !== undefined) await listen(createSocksServer(ports), socks, '--socks');
  for (const { port: local, destination } of tcp) await listen(createPortForward(ports, destination), local, '--tcp');
}

/** Listens on loopback only. @throws CliError when the port is taken */
async function listen(server: Server, port: number, option: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', () => reject(new CliError(`port ${port} is taken`, `choose another one with ${option}`)));
    server.listen(port, '127.0.0.1', resolve);
  });
}

const MAX_SAID = 256;

/** Says each text once: a browser asks for the same again and again. */
function sayOnce(): (text: string) => void {
  const said = new Set<string>();
  return (text) => {
    if (said.has(text)) return;
    if (said.size >= MAX_SAID) said.clear();
    said.add(text);
    warn`refused: ${text}\n`;
  };
}

function descriptionOf(device: Device, { port, socks, tcp, password }: ForwardSettings): object {
  const credentials = password === undefined ? '' : `x:${password}@`;
  return {
    proxy: `http://${credentials}127.0.0.1:${port}`,
    pac: `http://127.0.0.1:${port}${PAC_PATH}`,
    ...(socks !== undefined && { socks: `socks5h://${credentials}127.0.0.1:${socks}` }),
    tcp: tcp.map(({ port: local, destination: to }) => ({ port: local, to: `${to.host}:${to.port}` })),
    resources: device.resources,
  };
}

function sayForward(device: Device, settings: ForwardSettings): void {
  const { password, tcp, socks } = settings;
  const described = descriptionOf(device, settings) as { proxy: string; pac: string; socks?: string };
  const who = password === undefined ? 'your programs on this machine may use it' : 'who knows its password may use it';
  say`forward proxy at ${described.proxy} (${who}); you may use:\n`;
  printRows(device.resources, ['name', 'kind', 'authority'], false);
  say`\nbrowsers: automatic proxy configuration ${described.pac}\n`;
  if (socks !== undefined) say`SOCKS5:   ${described.socks!}\n`;
  for (const { port, destination } of tcp) {
    say`port:     127.0.0.1:${port} leads to ${`${destination.host}:${destination.port}`}\n`;
    if (!knownWay(device, destination))
      warn`note: ${destination.host}:${destination.port} is no resource of yours by now\n`;
  }
  const first = device.resources.find(({ kind }) => kind === 'http');
  if (first) say`\ntry: curl -x ${described.proxy} http://${first.authority}/\n`;
}
