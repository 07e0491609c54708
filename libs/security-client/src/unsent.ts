/**
 * True when a connection never stood: nothing was sent, so nothing of it was done. A code alone says little of that: a host that
 * became unreachable ends connections that stood with the same one.
 */
export function isUnsent(error: unknown): boolean {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED' || code === 'UND_ERR_CONNECT_TIMEOUT') return true;
  return syscall === 'connect' || syscall === 'getaddrinfo';
}
