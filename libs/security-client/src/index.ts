export { processClocks } from '@sallyport/lease';
export { type Authorised, type ReadAgain, type Relayed, type RightsAsker, SecurityClient } from './client.ts';
export { ControlConnection, type ControlListener, handshakePatienceMs } from './control.ts';
export { SecurityClientError, type SecurityClientErrorCode } from './errors.ts';
export {
  certificateEndsAt,
  join,
  joinAsPod,
  loadIdentity,
  newProxyKey,
  type PodJoin,
  type ProxyIdentity,
  renew,
  storeIdentity,
} from './identity.ts';
export { NodeList } from './node-list.ts';
