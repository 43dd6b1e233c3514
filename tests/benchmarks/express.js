// The site of sites.py with Express; prints the port that it listens on.
// DB_HOST, DB_PORT, DB_USER and DB_NAME say where express-mysql-session keeps
// its sessions; without them there are none.
'use strict'

const express = require('express')
const session = require('express-session')
const MySQLStore = require('express-mysql-session')(session)

const { DB_HOST, DB_PORT, DB_USER, DB_NAME, SECRET, DATA } = process.env
const app = express()

function ok(response) {
  response.type('text/plain').send('ok')
}

if (DB_HOST) {
  app.use(
    session({
      name: 'session',
      secret: SECRET,
      resave: false,
      saveUninitialized: false,
      store: new MySQLStore({
        host: DB_HOST,
        port: DB_PORT,
        user: DB_USER,
        database: DB_NAME,
        clearExpired: false,
      }),
    })
  )
}

app.get('/untouched', (request, response) => ok(response))

app.get('/read', (request, response) => {
  if (!request.session.userid) throw new Error('this is no session of ours')
  ok(response)
})

app.get('/write', (request, response) => {
  request.session.visits += 1
  ok(response)
})

app.get('/new', (request, response) => {
  const { 'auth.userid': userid, ...data } = JSON.parse(DATA)
  Object.assign(request.session, data, { userid })
  ok(response)
})

app.get('/login', (request, response, next) => {
  const { cookie, ...data } = request.session
  request.session.regenerate((error) => {
    if (error) return next(error)
    Object.assign(request.session, data)
    request.session.visits += 1
    ok(response)
  })
})

const server = app.listen(0, '127.0.0.1', () => {
  console.log(server.address().port)
})
