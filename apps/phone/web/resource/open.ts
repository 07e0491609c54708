import { shellOrigin } from './shell-origin.ts';

/**
 * Somebody opened an address of a resource before its service worker was there: the shell opens it anew, in its frame, or at its
 * start when this is a window of its own.
 */
const shell = shellOrigin();
if (parent === window) location.replace(`${shell}/`);
else parent.postMessage({ type: 'go', url: location.href }, shell);
