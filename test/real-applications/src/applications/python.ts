/** Exact versions of the Python packages that the applications and their clients are. */
export const PYTHON = {
  aiosmtpd: 'aiosmtpd==1.4.6',
  boto3: 'boto3==1.44.8',
  caldav: 'caldav==3.6.0',
  cheroot: 'cheroot==11.1.2',
  datasette: 'datasette==0.65.5',
  grpcio: 'grpcio==1.85.3',
  jupyterlab: 'jupyterlab==4.6.6',
  moto: 'moto[server,s3]==5.2.5',
  pypiserver: 'pypiserver==2.4.2',
  radicale: 'Radicale==3.9.0',
  streamlit: 'streamlit==1.67.0',
  wsgidav: 'wsgidav==4.4.0',
} as const;
