module kubernaut.test/application

go 1.26
