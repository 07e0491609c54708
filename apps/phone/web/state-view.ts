import type { Device } from '@sallyport/device';

const LABELS = {
  new: 'not enrolled',
  'signed-out': 'signed out',
  connecting: 'connecting…',
  connected: 'connected',
  silent: 'no answer yet…',
  offline: 'offline',
  suspended: 'gateway is waiting',
  closed: 'closed',
} as const;

/** When the gateway was last there, epoch ms; also known after a reload. */
const LAST_SEEN = 'sallyport.last-connected';

/** Shows how the device stands: the word at the top, and, while nothing can be reached, since when. */
export function stateView(device: Device): void {
  const badge = document.querySelector<HTMLElement>('#state')!;
  const banner = document.querySelector<HTMLElement>('#banner')!;
  let before: Device['state'] | undefined;
  const show = (state: Device['state']): void => {
    if (before === 'connected' || state === 'connected') localStorage.setItem(LAST_SEEN, String(Date.now()));
    before = state;
    badge.textContent = state === 'offline' ? offlineLabel() : LABELS[state];
    badge.dataset['state'] = state;
    banner.hidden = state !== 'offline' || !device.hasSession;
    banner.textContent = banner.hidden
      ? ''
      : 'No gateway can be reached. You stay signed in, and it goes on by itself.';
  };
  device.on('state', ({ state }) => show(state));
  show(device.state);
}

function offlineLabel(): string {
  const seenAt = Number(localStorage.getItem(LAST_SEEN));
  if (!seenAt) return LABELS.offline;
  const since = new Date(seenAt);
  const today = since.toDateString() === new Date().toDateString();
  const day = today ? '' : `${since.toLocaleDateString(undefined, { day: 'numeric', month: 'short' })}, `;
  return `offline since ${day}${since.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })}`;
}
