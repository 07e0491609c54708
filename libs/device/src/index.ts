export type { AppContext, CryptoProvider, EndCause, Field, RequestHead } from '@sallyport/channel';
export type { Resource } from './channel.ts';
export type { Reach } from './connection.ts';
export { Device, type DeviceOptions } from './device.ts';
export { DeviceError, type DeviceErrorCode, type LocalCode, messageOf } from './errors.ts';
export type { DeviceEvents, DeviceState } from './events.ts';
export { type CallResponse, findField, type RequestBody, type TrailedResponse } from './http-call.ts';
export { readLinkUser } from './link-user.ts';
export type { PendingSignIn, ProviderCredentials } from './provider.ts';
export { beginProviderSignIn, finishProviderSignIn } from './provider.ts';
export {
  type DeviceRecord,
  type DeviceStorage,
  type DeviceUser,
  memoryStorage,
  type StoredEnding,
  type StoredJwk,
  type StoredKeyObject,
  type StoredKeys,
  type StoredProvider,
  type StoredSession,
  type StoredSigningKey,
  type StoredSite,
} from './record.ts';
export type { AskOneTimeCode, Credentials, OneTimeCodeRequest, PasswordCredentials } from './sign-in.ts';
export type { WebSocketFactory, WebSocketLike } from './socket.ts';
export type { TcpConnection } from './tcp.ts';
export { DeviceWebSocket, type StreamOpener, type StreamSource, type WebSocketOptions } from './web-socket.ts';
