# Postman with what the guide says to fill in, which is in postman.json, and without a window.
newman run tests/guide/as_printed/postman.json \
  --env-var "PROCESSMAKER_URL=$PROCESSMAKER_URL" \
  --env-var "PROCESSMAKER_TOKEN=$PROCESSMAKER_TOKEN"
