export type { Resource } from './channel.ts';
export { Device, type DeviceEvents, type DeviceOptions, type DeviceState, findField } from './device.ts';
export { DeviceError, type DeviceErrorCode } from './errors.ts';
export type { CallResponse, RequestBody } from './http-call.ts';
export { type DeviceRecord, type DeviceStorage, memoryStorage } from './record.ts';
export type { Credentials } from './sign-in.ts';
export type { WebSocketFactory, WebSocketLike } from './socket.ts';
export type { TcpConnection } from './tcp.ts';
export { DeviceWebSocket } from './web-socket.ts';
