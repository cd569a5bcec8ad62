const proxy = process.env.HARPROXY_RUN_PROXY;

module.exports = {
  testDir: 'tests',
  reporter: 'line',
  webServer: { command: 'python3 -m http.server --bind 127.0.0.1 4173', url: 'http://127.0.0.1:4173' },
  use: {
    baseURL: 'http://127.0.0.1:4173',
    // The one line that harproxy needs.
    ...(proxy && { proxy: { server: proxy, bypass: '<-loopback>' }, ignoreHTTPSErrors: true }),
    launchOptions: process.env.CHROMIUM ? { executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] } : {},
  },
};
