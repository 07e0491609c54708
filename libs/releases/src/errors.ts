/**
 * Why a package is refused. `FORMAT`: it is no package of a kind that is known, or is cut off. `LARGE`: it, or a part of it, has more
 * bytes than it may. `NAME`: a name in it leads out of it, or is there twice. `MANIFEST`: what it says of itself cannot be read.
 * `SIGNATURE`: it is not signed, not by who it says, or not as it is.
 */
export type PackageErrorCode =
  | 'ERR_PACKAGE_FORMAT'
  | 'ERR_PACKAGE_LARGE'
  | 'ERR_PACKAGE_NAME'
  | 'ERR_PACKAGE_MANIFEST'
  | 'ERR_PACKAGE_SIGNATURE';

/** What reading a package throws. The message names what is wrong, and nothing of the package but numbers and plain names. */
export class PackageError extends Error {
  readonly code: PackageErrorCode;

  constructor(code: PackageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PackageError';
    this.code = code;
  }
}
