module.exports = {
  testDir: 'tests',
  reporter: 'line',
  fullyParallel: true,
  use: {
    launchOptions: process.env.CHROMIUM ? { executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] } : {},
  },
};
