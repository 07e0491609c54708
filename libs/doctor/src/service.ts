import type { Diagnosis, Leg, WaitLimits } from './diagnosis.ts';
import { askReady } from './http.ts';
import { reach } from './reach.ts';
import { reachTls, type TlsMeans } from './tls.ts';

/** Somebody who listens. */
export interface ServiceWay {
  readonly leg: Leg;
  /** Absent: no TLS is spoken there, or only after a word of the protocol. */
  readonly tls?: TlsMeans;
  /** One of ours: it says whether it is ready, and what time it is. */
  readonly isOurs?: boolean;
}

/** Tries one who listens: name, port, certificate, and of ours whether it is ready and how its clock is. */
export async function examineService({ leg, tls, isOurs }: ServiceWay, limits: WaitLimits): Promise<Diagnosis[]> {
  const { diagnoses, socket } = tls ? await reachTls(leg, tls, limits) : await reach(leg, limits);
  if (!socket) return [...diagnoses];
  if (isOurs) return [...diagnoses, ...(await askReady(socket, leg, limits))];
  socket.destroy();
  return [...diagnoses];
}
