import {
  type AccessContext,
  type Attestation,
  type ChannelHolder,
  findOpenChannel,
  makeChallenge,
  memoryThrottle,
  type OpenChannel,
  type Throttle,
  takeEvidence,
} from '@sallyport/access';
import { type Evidence, formatBase64Url, parseBase64Url } from '@sallyport/channel';
import { ProblemError } from '@sallyport/http-service';
import {
  type ChallengeAnswer,
  ChannelRequest,
  type EvidenceAnswer,
  EvidenceRequest,
  PROXY_PATHS,
} from '@sallyport/security-api';
import type { FastifyInstance } from 'fastify';
import { notOurs } from '../farm/proxy-identity.ts';
import { verifyProof } from '../sign-in/proof.ts';
import type { RefusalRecord } from '../sign-in/refusals.ts';

/** What evidence of devices is verified with. */
export interface EvidenceRoutes {
  readonly access: AccessContext;
  readonly attestation: Attestation;
  readonly refusals: RefusalRecord;
  readonly monotonicMs: () => number;
}

/** A device answers one challenge every few seconds at most; signatures and chains cost time. Counted for each installation. */
const EVIDENCE_LIMIT = { burst: 20, perMinute: 20 } as const;

/** Challenges for devices, and what they answer, by the Proxy that has their channel. */
export function addEvidenceRoutes(service: FastifyInstance, routes: EvidenceRoutes): void {
  const { access, monotonicMs } = routes;
  const throttle = memoryThrottle({ ...EVIDENCE_LIMIT, now: monotonicMs });
  service.post<{ Body: ChannelRequest }>(
    PROXY_PATHS.challenges,
    { schema: { body: ChannelRequest } },
    async ({ body, proxy, ip }): Promise<ChallengeAnswer> => {
      const channel = await channelOf(routes, { ...proxy, instance: body.instance, address: ip }, body.sid);
      if (typeof channel === 'string') return { ended: channel };
      const { installation, now } = channel;
      return { challenge: formatBase64Url(makeChallenge(access, { installationId: installation.id, now })) };
    },
  );
  service.post<{ Body: EvidenceRequest }>(
    PROXY_PATHS.evidence,
    { schema: { body: EvidenceRequest } },
    async ({ body, proxy, ip }): Promise<EvidenceAnswer> => {
      const channel = await channelOf(routes, { ...proxy, instance: body.instance, address: ip }, body.sid);
      if (typeof channel === 'string') return { ended: channel };
      return verified(routes, throttle, { channel, evidence: evidenceOf(body), address: ip });
    },
  );
}

/** The open channel that a Proxy speaks of, or how it is over. @throws ProblemError for who is no Proxy any more */
async function channelOf(
  { access, refusals }: EvidenceRoutes,
  { address, ...holder }: ChannelHolder & { readonly address: string },
  sid: string,
): Promise<OpenChannel | 'SESSION_EXPIRED' | 'NO_CHANNEL'> {
  const channel = await findOpenChannel(access, { sid, holder });
  if (channel === 'no proxy') throw notOurs();
  if (channel === 'over') return 'SESSION_EXPIRED';
  if (channel !== 'not its channel') return channel === 'no channel' ? 'NO_CHANNEL' : channel;
  const why = 'it asked for evidence in a session that opened no channel with it at its site';
  refusals.note({ action: 'proxy.evidence', subject: holder.name, why, address });
  return 'NO_CHANNEL';
}

async function verified(
  { access, attestation, refusals }: EvidenceRoutes,
  throttle: Throttle,
  {
    channel,
    evidence,
    address,
  }: { readonly channel: OpenChannel; readonly evidence: Evidence; readonly address: string },
): Promise<EvidenceAnswer> {
  const { installation, session } = channel;
  if ((await throttle.take(installation.id)) > 0)
    throw new ProblemError('ERR_SECURITY_SLOW', 'this device sends evidence too often');
  const outcome = await takeEvidence(access, evidence, { installation, session, attestation, verifyProof });
  if (outcome.taken) return { taken: true };
  const { fault } = outcome;
  refusals.note({ action: 'attest', subject: installation.id, why: `the evidence is refused: ${fault}`, address });
  return { taken: false, fault };
}

function evidenceOf({ challenge, statement, connector, proof }: EvidenceRequest): Evidence {
  try {
    return { challenge: parseBase64Url(challenge), statement: parseBase64Url(statement), connector, proof };
  } catch {
    throw new ProblemError('ERR_HTTP_INVALID', 'expected unpadded base64url');
  }
}
