export type {
  AppContext,
  CryptoProvider,
  EndCause,
  Field,
  LinkPin,
  ReleaseDocument,
  RequestHead,
} from '@sallyport/channel';
export { Device, type DeviceOptions } from './device.ts';
export { DeviceError, type DeviceErrorCode, type LocalCode, messageOf } from './errors.ts';
export type { Resource } from './gateway/channel.ts';
export type { WebSocketFactory, WebSocketLike } from './gateway/socket.ts';
export {
  type DeviceRecord,
  type DeviceStorage,
  type DeviceUser,
  memoryStorage,
  type RoutesMark,
  type StoredEnding,
  type StoredJwk,
  type StoredKeyObject,
  type StoredKeys,
  type StoredMeasure,
  type StoredNetwork,
  type StoredProvider,
  type StoredSession,
  type StoredSigningKey,
  type StoredSite,
  type StoredUpdates,
} from './kept/record.ts';
export type { DeviceEvents, DeviceState, Reach, SeenSite } from './session/events.ts';
export { type Attest, attestInSoftware, type PlatformStatement } from './sign-in/evidence.ts';
export { readLinkUser } from './sign-in/link-user.ts';
export type { PendingSignIn, ProviderCredentials } from './sign-in/provider.ts';
export { beginProviderSignIn, finishProviderSignIn } from './sign-in/provider.ts';
export type { AskOneTimeCode, Credentials, OneTimeCodeRequest, PasswordCredentials } from './sign-in/sign-in.ts';
export { siteOf } from './streams/fetch.ts';
export { type CallResponse, findField, type RequestBody, type TrailedResponse } from './streams/http-call.ts';
export type { TcpConnection } from './streams/tcp.ts';
export { DeviceWebSocket, type StreamOpener, type StreamSource, type WebSocketOptions } from './streams/web-socket.ts';
export type { AppUpdate, CatalogueApp, DownloadOptions } from './updates/app-updates.ts';
