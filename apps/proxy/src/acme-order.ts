import { AsyncLocalStorage } from 'node:async_hooks';
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:https';
import type { CertificatePair } from '@sallyport/certificates';
import type { Secret } from '@sallyport/settings';

/** Of whom a certificate is ordered, and as whom. */
export interface OrderSettings {
  readonly SALLYPORT_ACME_DIRECTORY: string | undefined;
  readonly SALLYPORT_ACME_NAMES: readonly string[];
  readonly SALLYPORT_ACME_CONTACT: string | undefined;
  readonly SALLYPORT_ACME_CA: string | undefined;
  readonly SALLYPORT_ACME_EAB_KID: string | undefined;
  readonly SALLYPORT_ACME_EAB_KEY: Secret | undefined;
}

/** An order waits so for its authority: ms between its looks, and how many. */
const POLLING = { backoffAttempts: 20, backoffMin: 1_000, backoffMax: 15_000 } as const;
const MAX_DIRECTORY_CHARACTERS = 65_536;
const SILENCE_MS = 10_000;
const NO_BINDING =
  'it takes only accounts that are bound to one at the authority: SALLYPORT_ACME_EAB_KID and SALLYPORT_ACME_EAB_KEY are what it gives you for that';

/** The agent by which the requests of an order go: the client has none but for all orders of a process. */
const agentOfOrder = new AsyncLocalStorage<Agent>();
let acmeClient: Promise<typeof import('acme-client')> | undefined;

/** The client of ACME; whoever needs none of it does not load it. */
export function loadAcmeClient(): Promise<typeof import('acme-client')> {
  acmeClient ??= import('acme-client').then((loaded) => {
    loaded.axios.interceptors.request.use((config) => Object.assign(config, { httpsAgent: agentOfOrder.getStore() }));
    return loaded;
  });
  return acmeClient;
}

/**
 * Orders a certificate with a key of its own, PEM (RFC 8555, section 7.4). Whoever listens for the names answers the challenges.
 * @throws Error in words of the authority, or why it cannot be asked
 */
export async function orderCertificate(settings: OrderSettings, accountKey: string): Promise<CertificatePair> {
  const { SALLYPORT_ACME_CA: file, SALLYPORT_ACME_DIRECTORY: url, SALLYPORT_ACME_EAB_KID: kid } = settings;
  const agent = new Agent({ ...(file === undefined ? {} : { ca: readFileSync(file) }), keepAlive: false });
  // The client would try for more than a minute before it says less.
  const wantsBinding = await readBindingDemand(url!, agent);
  try {
    return await agentOfOrder.run(agent, () => askByClient(settings, accountKey));
  } catch (error) {
    if (!wantsBinding || kid !== undefined) throw error;
    throw new Error(`${NO_BINDING} (${(error as Error).message})`, { cause: error });
  }
}

async function askByClient(settings: OrderSettings, accountKey: string): Promise<CertificatePair> {
  const { SALLYPORT_ACME_NAMES: names, SALLYPORT_ACME_CONTACT: contact } = settings;
  const { Client, crypto: keys } = await loadAcmeClient();
  const directoryUrl = settings.SALLYPORT_ACME_DIRECTORY!;
  const client = new Client({ directoryUrl, accountKey, ...bindingOf(settings), ...POLLING });
  const [key, csr] = await keys.createCsr({ altNames: [...names] }, await keys.createPrivateEcdsaKey('P-256'));
  const certificate = await client.auto({
    csr,
    ...(contact === undefined ? {} : { email: contact }),
    termsOfServiceAgreed: true,
    challengePriority: ['http-01'],
    // The authority looks, and we may not be able to reach ourselves by that name.
    skipChallengeVerification: true,
    challengeCreateFn: async () => undefined,
    challengeRemoveFn: async () => undefined,
  });
  return { certificate, key: key.toString() };
}

/** By what the authority knows whose account it is (RFC 8555, section 7.3.4). */
function bindingOf({ SALLYPORT_ACME_EAB_KID: kid, SALLYPORT_ACME_EAB_KEY: key }: OrderSettings): object {
  return kid === undefined || !key ? {} : { externalAccountBinding: { kid, hmacKey: key.reveal() } };
}

/** Whether an authority takes only bound accounts, as its directory says (RFC 8555, section 7.1.1). @throws Error when it cannot be read */
function readBindingDemand(url: string, agent: Agent): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const failed = ({ code, message }: NodeJS.ErrnoException): void => {
      const why = `its directory cannot be read (${code ?? message})`;
      reject(new Error(`${why}: sallyport doctor --from proxy says what is in the way`));
    };
    const request = get(url, { agent, timeout: SILENCE_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length > MAX_DIRECTORY_CHARACTERS) request.destroy(new Error('it is too long'));
      });
      response.on('error', failed);
      response.on('end', () => {
        if (response.statusCode !== 200) return failed(new Error(`status ${response.statusCode}`));
        try {
          resolve(JSON.parse(text)?.meta?.externalAccountRequired === true);
        } catch {
          failed(new Error('it is no JSON'));
        }
      });
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', failed);
  });
}
