import {
  type Credentials,
  type Device,
  finishProviderSignIn,
  type PendingSignIn,
  type StoredProvider,
} from '@sallyport/device';
import { button } from './dom.ts';

/** Where providers send this page back to, and where a sign-in that has begun is kept meanwhile. */
const RETURN_PATH = '/signed-in';
const PENDING = 'sallyport.pending-sign-in';

interface Pending {
  readonly pending: PendingSignIn;
  readonly link: string;
}

/** True when this address is the answer of a provider. */
export function isAnswer({ pathname, search }: Location): boolean {
  return pathname === RETURN_PATH && search.length > 1;
}

/** The answer to the sign-in that began in this tab. It is taken once. @throws Error when there is none */
export function takeAnswer(url: string): { credentials: Credentials; link: string } {
  const stored = sessionStorage.getItem(PENDING);
  sessionStorage.removeItem(PENDING);
  if (stored === null) throw new Error('no sign-in has begun in this tab');
  const { pending, link } = JSON.parse(stored) as Pending;
  return { credentials: finishProviderSignIn(pending, url), link };
}

/** One button for each provider that knows this page. */
export async function providerButtons(
  device: Device,
  link: string | undefined,
  onError: (error: unknown) => void,
): Promise<HTMLButtonElement[]> {
  const ours = returnAddresses();
  const providers = await device.providers(link);
  return providers.flatMap((provider) => {
    const redirect = ours.find((address) => provider.redirects.includes(address));
    return redirect === undefined ? [] : [providerButton({ device, provider, redirect, link }, onError)];
  });
}

/** Where a provider may send people back to; on this machine also by the plain name, which leads on to here. */
function returnAddresses(): readonly string[] {
  const plain = location.origin.replace(/^http:\/\/[^.]+\.localhost(?=:|$)/, 'http://localhost');
  return [location.origin, plain].map((origin) => origin + RETURN_PATH);
}

function providerButton(
  {
    device,
    provider,
    redirect,
    link,
  }: { device: Device; provider: StoredProvider; redirect: string; link: string | undefined },
  onError: (error: unknown) => void,
): HTMLButtonElement {
  const go = (): void => {
    const { url, pending } = device.beginProviderSignIn(provider, redirect);
    const kept: Pending = { pending, link: link ?? location.href };
    sessionStorage.setItem(PENDING, JSON.stringify(kept));
    location.assign(url);
  };
  return button(`Sign in with ${provider.directory}`, go, onError, 'quiet');
}
