import { expect, test } from 'vitest';
import { DeviceWebSocket } from '../src/web-socket.ts';

const waiting = (): DeviceWebSocket => new DeviceWebSocket(() => new Promise(() => undefined), 'ws://wiki.corp/');

test.each([0, 999, 1001, 1005, 1006, 1015, 2999, 5000, Number.NaN])('close(%d) throws as in a browser', (code) => {
  const socket = waiting();
  expect(() => socket.close(code)).toThrow(expect.objectContaining({ name: 'InvalidAccessError' }));
  expect(socket.readyState).toBe(DeviceWebSocket.CONNECTING);
});

test('a reason of more than 123 bytes throws as in a browser, whatever its characters', () => {
  for (const reason of ['x'.repeat(124), 'é'.repeat(62), '\u{1f600}'.repeat(31)])
    expect(() => waiting().close(1000, reason)).toThrow(expect.objectContaining({ name: 'SyntaxError' }));
  expect(() => waiting().close(4999, 'x'.repeat(123))).not.toThrow();
});

test('who closes before it is open hears 1006, and closing again does nothing', () => {
  const socket = waiting();
  const codes: number[] = [];
  socket.onclose = ({ code }) => void codes.push(code);
  socket.close();
  socket.close(4000);
  expect(codes).toEqual([1006]);
  expect(socket.readyState).toBe(DeviceWebSocket.CLOSED);
});
