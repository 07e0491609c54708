import {
  ASK_NONCE_BYTES,
  type CryptoProvider,
  decodeSessionTold,
  deriveEndKey,
  encodeSessionAsk,
  equalBytes,
  type LinkPin,
  type Standing,
  verifySessionMac,
} from '@sallyport/channel';
import { DeviceError } from '../errors.ts';
import { inTurn } from '../gateway/in-turn.ts';
import { GatewaySocket, type WebSocketFactory } from '../gateway/socket.ts';
import type { DeviceRecord, StoredSession } from '../kept/record.ts';
import { originsOf } from '../sites/places.ts';

/** A Proxy that passes nothing on in this time has the next one asked beside it, ms. */
const STAGGER_MS = 1_000;

/** What asking needs. */
export interface StandingPlace {
  readonly crypto: CryptoProvider;
  readonly webSocket: WebSocketFactory;
  readonly pin?: LinkPin | undefined;
}

/**
 * Asks Security how a session stands, through whichever Proxy lets it be asked (SPEC.md, section 12); undefined when nobody gives
 * an answer with the session's key. Never rejects.
 */
export async function askStanding(
  place: StandingPlace,
  record: DeviceRecord,
  session: StoredSession,
): Promise<Standing | undefined> {
  const ask = (origin: string): Promise<Standing> => askAt(place, origin, session);
  const turns = { staggerMs: STAGGER_MS, late: () => undefined };
  for await (const outcome of inTurn(originsOf(record, place.pin ?? record.pin), ask, turns))
    if ('result' in outcome) return outcome.result;
  return undefined;
}

/** @throws DeviceError or ChannelError when the answer is none of Security's */
async function askAt(
  { crypto, webSocket }: StandingPlace,
  origin: string,
  { sid, secret }: StoredSession,
): Promise<Standing> {
  const key = deriveEndKey(crypto, secret);
  const nonce = crypto.randomBytes(ASK_NONCE_BYTES);
  const socket = await GatewaySocket.connect(webSocket, origin);
  try {
    const answer = await socket.ask(encodeSessionAsk(crypto, key, sid, nonce));
    const told = decodeSessionTold(answer);
    const ours = equalBytes(told.sid, sid) && equalBytes(told.nonce, nonce) && verifySessionMac(crypto, key, answer);
    if (!ours) throw new DeviceError('BAD_RESPONSE', 'the answer does not come from Security');
    return told.standing;
  } finally {
    key.fill(0);
    socket.close();
  }
}
