import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { CliError } from '../../output.ts';
import { type PortForward, parsePortForward } from './port-forward.ts';

/** Options of `sallyport device forward` as they are written. */
export interface WrittenOptions {
  readonly port: string;
  readonly socks?: string | true;
  readonly tcp?: readonly string[];
  readonly password?: boolean;
  readonly verbose?: boolean;
}

/** The same as they are meant. */
export interface ForwardSettings {
  readonly port: number;
  readonly socks: number | undefined;
  readonly tcp: readonly PortForward[];
  readonly password: string | undefined;
}

const SOCKS_PORT = 1080;

/** Adds the options that say which ports there are. */
export function addPortOptions(command: Command): Command {
  return command
    .option('-p, --port <n>', 'port of the HTTP proxy on 127.0.0.1', '8488')
    .option('--socks [port]', `a SOCKS5 proxy, too; on port ${SOCKS_PORT} unless said otherwise`)
    .option('--tcp <port=host:port...>', 'ports that lead to one resource each, like 5432=db.corp:5432');
}

/** Reads the options. @throws CliError that names the one that is wrong */
export function readForwardOptions({ port, socks, tcp = [], password }: WrittenOptions): ForwardSettings {
  return {
    port: portOf(port, '--port'),
    socks: socks === undefined ? undefined : socks === true ? SOCKS_PORT : portOf(socks, '--socks'),
    tcp: tcp.map(parsePortForward),
    password: password ? randomBytes(12).toString('base64url') : undefined,
  };
}

function portOf(text: string, option: string): number {
  const port = Number(text);
  if (/^[0-9]{1,5}$/.test(text) && port > 0 && port < 65_536) return port;
  throw new CliError(`${text} is no port`, `${option} takes a number from 1 to 65535`);
}
