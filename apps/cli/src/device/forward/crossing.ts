import type { Socket } from 'node:net';
import type { Device } from '@sallyport/device';
import { hostOfAuthority } from '../local-ca/permitted-names.ts';
import { type Answer, answerOf, plainAnswer } from './refusal.ts';
import { tunnel } from './tunnel.ts';
import { type HostProofs, TunnelledHttp } from './tunnelled-http.ts';
import { type Destination, findWay } from './way.ts';

/** Joins a local socket with what was found; whoever calls it has told the client that the connection stands. */
export type Bridge = (socket: Socket) => Promise<void>;

/** How connections of local programs get to resources, whatever they asked by: CONNECT, SOCKS or a port of their own. */
export class Crossing {
  readonly #device: Device;
  readonly #proofs: HostProofs;
  readonly #tunnelled: TunnelledHttp;

  constructor(device: Device, proofs: HostProofs) {
    this.#device = device;
    this.#proofs = proofs;
    this.#tunnelled = new TunnelledHttp(device, proofs);
  }

  /** The way to a destination, or what to tell the client instead. */
  async find(destination: Destination): Promise<Bridge | Answer> {
    try {
      return await this.#found(destination);
    } catch (error) {
      return answerOf(this.#device, error);
    }
  }

  async #found(destination: Destination): Promise<Bridge | Answer> {
    const way = await findWay(this.#device, destination);
    if (!way) return plainAnswer(403, `${destination.host}:${destination.port} is no resource of yours`);
    const { kind, authority } = way;
    if (kind === 'tcp') {
      const remote = await this.#device.connect(authority);
      return (socket) => tunnel(remote, socket);
    }
    const host = hostOfAuthority(authority);
    if (destination.port === 443 && !(await this.#proofs.proofFor(host))) return plainAnswer(502, notCovered(host));
    return (socket) => this.#tunnelled.serve(socket, { authority, host });
  }
}

function notCovered(host: string): string {
  return `this machine's own CA does not cover ${host}; make one that does: sallyport device trust`;
}
