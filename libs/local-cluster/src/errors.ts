/** Why a part of the cluster could not be started. */
export type ClusterErrorCode = 'ERR_CLUSTER_PROGRAM' | 'ERR_CLUSTER_START' | 'ERR_CLUSTER_ARCHIVE';

/** What starting a cluster throws; the message says which part, and where its log is. */
export class ClusterError extends Error {
  readonly code: ClusterErrorCode;

  constructor(code: ClusterErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ClusterError';
    this.code = code;
  }
}
