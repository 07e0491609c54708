import { shellOrigin } from './shell-origin.ts';

/**
 * The keeper of a resource's origin: a hidden frame of the shell that brings the service worker there, and hands what it asks on to
 * the shell. The shell looks at who speaks, so it does not matter that pages of the resource can reach into this frame.
 */
const shell = shellOrigin();
const { serviceWorker } = navigator;

serviceWorker.addEventListener('message', ({ data, ports }) => parent.postMessage(data, shell, [...ports]));
serviceWorker.startMessages();
serviceWorker
  .register('/.sallyport/worker.js', { scope: '/', updateViaCache: 'none' })
  .then(() => serviceWorker.ready)
  .then(
    () => parent.postMessage({ type: 'ready' }, shell),
    (error: unknown) => parent.postMessage({ type: 'unable', text: String(error) }, shell),
  );
