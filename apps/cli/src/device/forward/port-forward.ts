import { createServer, type Server } from 'node:net';
import { CliError } from '../../output.ts';
import { guarded } from './http-server.ts';
import { type LocalPorts, MAX_LOCAL_CONNECTIONS } from './socks-server.ts';
import { type Destination, readDestination } from './way.ts';

/** A port of this machine that leads to one resource. */
export interface PortForward {
  readonly port: number;
  readonly destination: Destination;
}

/** Reads `5432=db.corp:5432`. @throws CliError */
export function parsePortForward(text: string): PortForward {
  const [, digits = '', target = ''] = /^([1-9][0-9]{0,4})=(.+)$/.exec(text) ?? [];
  const destination = readDestination(target);
  if (destination && Number(digits) < 65_536) return { port: Number(digits), destination };
  throw new CliError(`${text} is no port and resource`, 'for instance: --tcp 5432=db.corp:5432');
}

/**
 * A server whose every connection goes to one resource, for programs that know of no proxy. They are let in by their user alone: there is
 * no place for a password.
 */
export function createPortForward({ crossing, access, say }: LocalPorts, destination: Destination): Server {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    guarded(socket, async () => {
      const refused = await access.ofSocket(socket);
      const found = refused ?? (await crossing.find(destination));
      if (typeof found === 'function') return found(socket);
      say(found.text);
      socket.resetAndDestroy();
    });
  });
  server.maxConnections = MAX_LOCAL_CONNECTIONS;
  return server;
}
